// Package autorebuild tests, on a real cluster, that a change of an ImageStream leads to rebuilds: imagewatch, the EventListener, the
// TriggerBinding and the TriggerTemplate of pipelines/chained.yaml, each with the rights that are rendered for it. The cluster is the one
// that KUBECONFIG names; its administrator's rights are needed to make a namespace for each test. It must have Tekton Triggers, and serve
// image.openshift.io. PipelineRuns are made as Pending, and left to the tests, which end them as the stages of a build would: nothing is built.
//
//	go test -tags e2e ./e2e/autorebuild
//
// Services must be reachable from where the tests run, as they are inside the cluster of e2e/cluster.
package autorebuild
