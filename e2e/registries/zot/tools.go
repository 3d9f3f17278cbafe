//go:build tools

// Package zot pins the registry zot, another implementation than distribution, for the suite e2e/registries.
package zot

import _ "zotregistry.io/zot/cmd/zot"
