// Package build tests, on a real cluster, that what osbs generate renders builds images: each test has a namespace, in which the rendering
// for one configuration is installed, and builds from a git repository of its own. The cluster is the one that KUBECONFIG names, with Tekton
// Pipelines and the API image.openshift.io; registry, git server and images are those that the variables of docs/cluster.md name. kubectl
// and git must be on the PATH. The step images are listed in the file that OSBS_E2E_STEP_IMAGES names, as `cluster publish -o FILE` and
// releases write it; the program osbs is built first, unless OSBS_E2E_OSBS names one.
//
//	go test -tags e2e ./e2e/build
package build
