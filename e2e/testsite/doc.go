// Package testsite is an installation of osbs in a namespace of a test's own, and what a test does with one: repositories on the git server,
// images in the registry, builds and what became of them. The cluster is the one that KUBECONFIG names; registry, git server and images
// are those that the variables of docs/cluster.md name. kubectl, tkn and git must be on the PATH.
package testsite
