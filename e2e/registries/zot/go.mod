module github.com/osbs-tekton/osbs/e2e/registries/zot

go 1.26

require zotregistry.io/zot v1.4.3

// The module's own address is not everywhere to be had; this is where its source lies.
replace zotregistry.io/zot => github.com/project-zot/zot v1.4.3
