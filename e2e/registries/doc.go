// Package registries tests what pkg/registry and pkg/transfer do with registries that take long to build, and with images that take long
// to push. It needs no cluster:
//
//	go test -tags e2e ./e2e/registries
package registries
