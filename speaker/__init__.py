"""The speaker: runs on every node and makes service addresses reachable from outside."""
