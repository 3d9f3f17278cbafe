// Package testbed is what the suites on a real cluster have in common: the programs under test, namespaces that go away, users with few
// rights, and a way to end and hold the daemons of the cluster. The cluster is the one that KUBECONFIG names.
package testbed
