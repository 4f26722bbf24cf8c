//go:build oldest

package main

import (
	"errors"

	"github.com/hashicorp/memberlist"
)

// setLabel returns an error for a label: labels exist since version 0.4.
func setLabel(config *memberlist.Config, label string) error {
	if label != "" {
		return errors.New("-label: this version has no labels")
	}
	return nil
}

// stateOf returns no state: this version does not reveal it to the application.
func stateOf(n *memberlist.Node) string { return "" }
