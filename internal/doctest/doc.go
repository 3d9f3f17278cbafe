// Package doctest runs the commands of the documents, as a reader would type them. It has tests only.
//
// A fenced block of the language console holds commands, each after "$ ". All blocks of a document run in one shell, in a directory
// with bin/osbs and the repositories of examples/ under git/, where the image base is built. Words after the language say more:
// `console exit=3` is a block whose last command ends with exit code 3, `console background` one that runs until the document ends.
package doctest
