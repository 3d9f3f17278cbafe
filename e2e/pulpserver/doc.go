// Package pulpserver runs a real Pulp 3 for tests: PostgreSQL, Pulp's API and content applications and its workers, and before them
// what a site has there too, a server that speaks TLS, knows client certificates, and can be made to fail.
//
// prepare.sh installs what it needs, and prints the directory that Options.Environment wants. All processes end with the test program.
package pulpserver
