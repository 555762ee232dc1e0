package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/internal/edctest/sshd"
	"longitude/internal/synth"
)

// smallFiles measures a drop of many small files on an OpenSSH server of this
// machine: everything recorded, then nothing new. The yardstick is the sftp program
// fetching the same files, in the same run.
func (b *bench) smallFiles(ctx context.Context, files int) error {
	data := filepath.Join(b.dir, fmt.Sprint("drop-", files))
	truth, err := synth.Workload(data, synth.WorkloadOptions{Seed: 1, Participants: files})
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	root := filepath.Join(data, "outgoing")
	rows, err := split(filepath.Join(data, truth.Files[0].Name), root, truth.Files[0].Rows/files)
	if err != nil {
		return err
	}
	server, err := sshd.Start(ctx, root)
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	if err := readFrom(server, data, truth); err != nil {
		return err
	}
	database := fmt.Sprintf("bench_drop_%d", files)
	if err := b.cluster.CreateDatabase(ctx, database); err != nil {
		return err
	}
	r := &round{bench: b, data: data, url: b.cluster.URL(database)}
	if _, err := r.longitude(ctx, "migrate"); err != nil {
		return err
	}
	bare, err := bareCopy(ctx, server, data, files)
	if err != nil {
		return err
	}
	first, err := r.longitude(ctx, "sync")
	if err != nil {
		return err
	}
	if err := r.recorded(ctx, files, rows); err != nil {
		return err
	}
	again, err := r.longitude(ctx, "sync")
	if err != nil {
		return err
	}
	if err := r.recorded(ctx, files, rows); err != nil {
		return err
	}
	log.Printf("%d files: sync %.2f s, %d MiB; nothing new %.2f s, %d MiB; bare copy %.2f s; sync / bare copy %.2f", files,
		first.Seconds, first.PeakRSS>>20, again.Seconds, again.PeakRSS>>20, bare.Seconds, first.Seconds/bare.Seconds)
	return b.drop(ctx, database)
}

// split makes files of so many rows each of one file, with their markers, and
// answers how many rows there are.
func split(file, to string, rows int) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return 0, err
	}
	lines := bytes.SplitAfter(bytes.TrimRight(text, "\n"), []byte("\n"))
	header, lines := lines[0], lines[1:]
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	for i := 0; i < len(lines); i += rows {
		part := append(bytes.Clone(header), bytes.Join(lines[i:min(i+rows, len(lines))], nil)...)
		if err := deliver(filepath.Join(to, fmt.Sprintf("visits-%06d.csv", i/rows)), part); err != nil {
			return 0, err
		}
	}
	return len(lines), nil
}

// readFrom has the first source of the workload read the drop, and no other one be.
func readFrom(server *sshd.Server, data string, truth synth.WorkloadTruth) error {
	key := filepath.Join(data, "config", "key")
	source := filepath.Join(data, "config", truth.Files[0].Form+".yaml")
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	begin := strings.Index(string(text), "connector:")
	end := begin + strings.Index(string(text[begin:]), "\n")
	connector := fmt.Sprintf(`connector: {type: sftp, address: %q, user: %q, host_key: %q, private_key: "${file:key}", path: %q, ready: {marker: .done}}`,
		server.Address, server.User, server.HostKeyFingerprint, server.Root+"/*.csv")
	errs := []error{os.WriteFile(key, server.PrivateKey, 0o600),
		os.WriteFile(filepath.Join(data, "known_hosts"), []byte(server.KnownHosts), 0o600),
		os.WriteFile(source, []byte(string(text[:begin])+connector+string(text[end:])), 0o644)}
	for _, f := range truth.Files[1:] {
		errs = append(errs, os.Remove(filepath.Join(data, "config", f.Form+".yaml")))
	}
	return errors.Join(errs...)
}

// bareCopy fetches the files with the sftp program.
func bareCopy(ctx context.Context, server *sshd.Server, data string, files int) (Sample, error) {
	to, batch := filepath.Join(data, "copy"), filepath.Join(data, "batch")
	if err := errors.Join(os.Mkdir(to, 0o755), os.WriteFile(batch, fmt.Appendf(nil, "get *.csv %s\n", to), 0o644)); err != nil {
		return Sample{}, err
	}
	host, port, err := net.SplitHostPort(server.Address)
	if err != nil {
		return Sample{}, err
	}
	s, _, err := command(ctx, nil, "sftp", "-q", "-b", batch, "-P", port, "-i", filepath.Join(data, "config", "key"), "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile="+filepath.Join(data, "known_hosts"), server.User+"@"+host)
	if err != nil {
		return s, err
	}
	if got, err := filepath.Glob(filepath.Join(to, "*.csv")); err != nil || len(got) != files {
		return s, fmt.Errorf("the bare copy has %d of %d files: %w", len(got), files, err)
	}
	return s, nil
}

// recorded compares what is in the database with what is on the server.
func (r *round) recorded(ctx context.Context, files, rows int) error {
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var records, done int
	if err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM research.record_version), (SELECT count(*) FROM jobs.file WHERE outcome = 'recorded')`).Scan(&records, &done); err != nil {
		return err
	}
	if records != rows || done != files {
		return fmt.Errorf("%d records of %d rows, %d of %d files are recorded", records, rows, done, files)
	}
	return nil
}
