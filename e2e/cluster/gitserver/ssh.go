package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/crypto/ssh"
)

func (c Config) serveSSH(ctx context.Context, listener net.Listener) error {
	config, err := c.sshConfig()
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accepting ssh connections: %w", err)
		}
		go c.connection(ctx, conn, config)
	}
}

func (c Config) sshConfig() (*ssh.ServerConfig, error) {
	text, err := os.ReadFile(c.HostKey)
	if err != nil {
		return nil, err
	}
	host, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the host key: %w", err)
	}
	if text, err = os.ReadFile(c.UserKey); err != nil {
		return nil, err
	}
	user, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the user's key: %w", err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), user.Marshal()) {
			return nil, errors.New("this key is not let in")
		}
		return nil, nil //nolint:nilnil // that is how the library wants to hear of success
	}}
	config.AddHostKey(host)
	return config, nil
}

func (c Config) connection(ctx context.Context, conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		slog.Warn("ssh connection refused", "from", conn.RemoteAddr(), "err", err)
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go c.session(ctx, channel, requests)
	}
}

// session runs the one command that a client asks for.
func (c Config) session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	var env []string
	for r := range requests {
		switch r.Type {
		case "env":
			var variable struct{ Name, Value string }
			if ssh.Unmarshal(r.Payload, &variable) == nil && variable.Name == "GIT_PROTOCOL" {
				env = append(env, variable.Name+"="+variable.Value)
			}
			_ = r.Reply(true, nil)
		case "exec":
			var command struct{ Line string }
			if err := ssh.Unmarshal(r.Payload, &command); err != nil {
				_ = r.Reply(false, nil)
				return
			}
			_ = r.Reply(true, nil)
			status := struct{ Status uint32 }{c.command(ctx, channel, command.Line, env)}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
			return
		default:
			_ = r.Reply(false, nil)
		}
	}
}

// command runs git-upload-pack or git-receive-pack, and returns its exit code.
func (c Config) command(ctx context.Context, channel ssh.Channel, line string, env []string) uint32 {
	verb, argument, _ := strings.Cut(line, " ")
	dir, err := c.repository(strings.Trim(argument, "'"))
	if err == nil && verb == "git-receive-pack" {
		err = c.make(ctx, strings.Trim(argument, "'"))
	}
	if err == nil && verb != "git-upload-pack" && verb != "git-receive-pack" {
		err = fmt.Errorf("%s is not served", verb)
	}
	if err != nil {
		fmt.Fprintln(channel.Stderr(), err)
		return 1
	}
	cmd := exec.CommandContext(ctx, "git", strings.TrimPrefix(verb, "git-"), dir)
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_CONFIG_KEY_1=uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1=true"), env...)
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	input, err := cmd.StdinPipe()
	if err != nil {
		return 1
	}
	// Not cmd.Stdin = channel: Wait would wait for the client to close its side, and the client waits for the exit code.
	go func() { _, _ = io.Copy(input, channel); _ = input.Close() }()
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return uint32(exit.ExitCode())
	case err != nil:
		return 1
	}
	return 0
}
