// Package manifest reads and writes Kubernetes objects as people do: several documents in a file or a directory of files, keys in the
// order of Tekton's documents, comments and block texts kept. It resolves the references of images that ko would build.
package manifest
