// Package docs runs the commands of docs/install.md and docs/building.md on a real cluster, as a reader would type them: it installs, builds,
// looks, cancels, has a rebuild come, and uninstalls. Names of hosts, repositories and the namespace are replaced by those of the test.
//
//	go test -tags e2e ./e2e/docs
//
// Services must be reachable from pods only. docs/e2e.md says what the cluster must have.
package docs
