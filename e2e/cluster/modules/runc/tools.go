//go:build tools

// Package runc pins what the cluster's low-level runtime is built from.
package runc

import _ "github.com/opencontainers/runc"
