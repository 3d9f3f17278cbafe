// Package state tests, on a real API server, what is kept in a cluster: build configs, locks and ImageStreams. The cluster is the one that
// KUBECONFIG names; its administrator's rights are needed to make a namespace for each test. What is tested has only the rights that the
// stages lock and import are given.
//
//	go test -tags e2e ./e2e/state
//
// An API server is enough: pods are not needed, and Tekton is used if it is there. Tests that import images need OSBS_E2E_REGISTRY, a
// registry that the test and the cluster reach by the same name; OSBS_E2E_CA_FILE has its CA, OSBS_E2E_DOCKER_CONFIG a directory with a
// config.json for it. The cluster of e2e/cluster sets all of these:
//
//	cd e2e/cluster && go run ./cmd/cluster up -api-only
package state
