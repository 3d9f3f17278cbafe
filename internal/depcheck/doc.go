// Package depcheck holds the project's structure to its rules: what a program may link, how large it may be, which way packages
// may import each other, and what they may be called. It has tests only.
package depcheck
