//go:build !oldest

package main

import "github.com/hashicorp/memberlist"

func setLabel(config *memberlist.Config, label string) error {
	config.Label = label
	return nil
}

func stateOf(n *memberlist.Node) string {
	states := map[memberlist.NodeStateType]string{
		memberlist.StateAlive: "alive", memberlist.StateSuspect: "suspect",
		memberlist.StateDead: "dead", memberlist.StateLeft: "left",
	}
	return states[n.State]
}
