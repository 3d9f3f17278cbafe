// Package chain is the model that the generator works on: the stages of a build in their order, each a Task and the way in which the
// Pipeline calls it. It is made from the Task files and the configuration, changed by overlays, and laid out on pods.
package chain
