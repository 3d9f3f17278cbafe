// Package local is the instance that needs no cluster: it runs the stages of a build in this process, with an embedded registry, and
// keeps ImageStreams, build configs, locks and build records as files of one data directory. When a build has moved an ImageStreamTag,
// it rebuilds what is built on it.
//
// Several processes may use one data directory at once, and any of them may be killed at any moment: everything is written to a
// temporary name and renamed, and what a process held is free once the process is gone.
package local
