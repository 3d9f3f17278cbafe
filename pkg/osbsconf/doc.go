// Package osbsconf reads osbs.conf: where builds run, and with which settings.
//
// The file is OSBS's: INI as Python's ConfigParser reads it, with a section [general] for all instances and a section for each. A
// setting is looked for on the command line, then in the environment, then in the instance's section, then in [general], then it
// has its default. A key that OSBS knew and that has no meaning any more is warned about, with what replaced it; a key that nobody
// knows is an error.
//
// The reader is our own because messages name lines, a key that is given twice is an error, and the reader must survive any file: INI
// libraries for Go give no line numbers, let the last of two keys win, and overflow the stack when two values refer to each other.
package osbsconf
