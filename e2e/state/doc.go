// Package state tests, on a real API server, what is kept in a cluster: build configs, locks and ImageStreams. The cluster is the one that
// KUBECONFIG names; its administrator's rights are needed to make a namespace for each test. What is tested has only the rights that the
// stages lock and import are given.
//
//	go test -tags e2e ./e2e/state
//
// Tests that import images need OSBS_E2E_REGISTRY, a registry that the test and the cluster reach by the same name, and perhaps
// OSBS_E2E_REGISTRY_CA and OSBS_E2E_REGISTRY_SECRET (a directory with its credentials).
package state
