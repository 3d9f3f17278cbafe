// Package install tests osbs install and uninstall on the cluster that KUBECONFIG names. Its administrator's rights are needed to make a
// namespace for each test; whoever installs there has the role admin in the namespace, and no more.
//
//	go test -tags e2e ./e2e/install
//
// Tekton Pipelines, Triggers and the ImageStream API must be served. Pods need not run: a cluster without nodes is enough.
package install
