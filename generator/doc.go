// Package generator turns one configuration and its overlays into everything that a namespace needs: the Pipeline with the stages that
// are configured, what starts rebuilds, accounts with their rights. The parts are packages of their own; this one puts them in a row.
package generator
