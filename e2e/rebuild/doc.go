// Package rebuild tests, on a real cluster, that images are rebuilt when a base moves: everything is as osbs install installs it, an image is
// pushed to the registry and imported into its ImageStream, and what follows are builds, down to the last image that is built on it. What
// the cluster must have, and the variables, are those of package e2e/build.
//
//	go test -tags e2e ./e2e/rebuild
package rebuild
