"""The controller: gives addresses from the configured pools to Services of type LoadBalancer."""
