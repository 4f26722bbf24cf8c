//go:build oldest

package main

import (
	"errors"

	"github.com/hashicorp/memberlist"
)

// setLabel refuses: labels came with version 0.4.
func setLabel(config *memberlist.Config, label string) error {
	if label != "" {
		return errors.New("-label: this version knows no labels")
	}
	return nil
}

// stateOf can't tell: the application is not told the state in this version.
func stateOf(n *memberlist.Node) string { return "" }
