module github.com/osbs-tekton/osbs/e2e/cluster/modules/pause

go 1.26.0
