// Package sync tests the sync stage against what it syncs into: a real Pulp 3, a file system with limits, and, on the cluster, all of it in
// a build.
package sync
