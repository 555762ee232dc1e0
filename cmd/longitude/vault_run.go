package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/config"
	"longitude/internal/decision"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/pipeline"
	"longitude/study"
)

func (a *app) vaultRunCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "run REQUEST", Short: "Carry out an approved request, once", Args: cobra.ExactArgs(1),
		Long: `Opens the identities into a file that only the requester can read, with ` + "`longitude vault read`" + `:
nothing of them is shown or logged. An erasure names no file; interrupted, it is run again.

` + exitCodes,
		Example: "  longitude vault run 12 --out identities.age",
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write, which must not be there")
	who := actorFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		actor, err := who()
		if err != nil {
			return err
		}
		return a.withRequest(cmd, args[0], func(ctx context.Context, h *house, r *postgres.VaultState) error {
			if (out == "") != (r.Kind == postgres.EraseIdentities) {
				return &study.Error{Code: "usage.arguments", Op: "a request to open identities names the file to write, an erasure none", Exit: study.ExitUsage,
					Hint: "add or leave out --out FILE"}
			}
			if r.Kind == postgres.EraseIdentities {
				return h.erase(ctx, r, actor)
			}
			return h.openIdentities(ctx, r, actor, out)
		})
	}
	return cmd
}

// identified is who is behind what was asked for.
type identified struct {
	Released   string `json:"released_id,omitempty"` // that was asked for
	Code       string `json:"participant"`
	Namespace  string `json:"namespace"`
	Identifier string `json:"identifier"`
}

// openIdentities spends the request, and then writes what it asks for, encrypted to
// the requester. The file is made first, so that a request is not spent on one that
// cannot be written; once it is written, it stays.
func (h *house) openIdentities(ctx context.Context, r *postgres.VaultState, actor, out string) error {
	requester, err := h.store.Person(ctx, r.Requester)
	if err != nil {
		return err
	}
	if !requester.Active {
		return &study.Error{Code: "people.inactive", Op: r.Requester + " may not act any more, and nothing is opened for them", Exit: study.ExitBlocked,
			Hint: "somebody else who needs it makes a request of their own"}
	}
	ids, err := h.releasedIDs(ctx, r)
	if err != nil {
		return err
	}
	f, err := exclusive(out)
	if err != nil {
		return err
	}
	if err = errors.Join(h.writeIdentities(ctx, r, actor, ids, &requester, f), f.Close()); err != nil {
		_ = os.Remove(out)
		return err
	}
	h.a.progress("%s can read %s with `longitude vault read`", r.Requester, out)
	return h.showRequest(ctx, r.ID)
}

func (h *house) writeIdentities(ctx context.Context, r *postgres.VaultState, actor string, ids map[int64]string, to *people.Person, f *os.File) error {
	if _, err := h.store.StartVault(ctx, r.ID, actor); err != nil {
		return err
	}
	found, err := h.identities(ctx, r, ids)
	if err != nil {
		return err
	}
	w, err := to.Encrypt(f)
	if err == nil {
		err = errors.Join(json.NewEncoder(w).Encode(found), w.Close(), f.Sync())
	}
	if err != nil {
		return unwritten()
	}
	return nil
}

// releasedIDs are the released ids that a request asks for, by the participants that
// they stand for; none when it names codes.
func (h *house) releasedIDs(ctx context.Context, r *postgres.VaultState) (map[int64]string, error) {
	ids := map[int64]string{}
	if r.Series == "" {
		return ids, nil
	}
	s, err := h.study(r.Study)
	if err != nil {
		return nil, err
	}
	_, found, err := h.behind(ctx, s, r.Series, r.Asked)
	if err != nil {
		return nil, err
	}
	for i, first := range found {
		same, err := h.store.SamePerson(ctx, []int64{first})
		if err != nil {
			return nil, err
		}
		for _, participant := range same {
			ids[participant] = r.Asked[i]
		}
	}
	return ids, nil
}

// identities opens the identities of a request's participants.
func (h *house) identities(ctx context.Context, r *postgres.VaultState, ids map[int64]string) ([]identified, error) {
	sealed, err := h.store.SealedIdentities(ctx, r.Participants)
	if err != nil {
		return nil, err
	}
	found := []identified{}
	for _, number := range r.Participants {
		for _, id := range sealed[number] {
			source, err := deid.OpenIdentity(h.ring, r.Study, id.Blind, id.Box)
			if err != nil {
				return nil, err
			}
			found = append(found, identified{ids[number], id.Code, id.Namespace, source})
		}
	}
	return found, nil
}

// exclusive makes a file that only its owner can read and that was not there.
func exclusive(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, &study.Error{Code: "vault.unwritten", Op: "the file cannot be made; nothing was opened", Exit: study.ExitUsage,
			Hint: "name a file that is not there yet, in a folder that this user may write to"}
	}
	return f, nil
}

func unwritten() error {
	return &study.Error{Code: "vault.unwritten", Op: "the file could not be written, and the request is spent", Exit: study.ExitEnvironment, Hint: "make room, and make a new request"}
}

func (a *app) vaultReadCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "read FILE", Short: "Decrypt what a request gave you, with your own key", Args: cobra.ExactArgs(1),
		Long:    "Needs no database. What it writes names people: keep it where nobody else reads it, and\ndelete it when it has served its purpose.\n\n" + exitCodes,
		Example: "  longitude vault read identities.age --out identities.json --as nora",
	}
	signer := signFlags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "file to write, which must not be there (required)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		id := signer.id
		if id == "" {
			var err error
			if id, err = whoever(); err != nil {
				return err
			}
		}
		return a.readOut(signer, id, args[0], out)
	}
	return cmd
}

func (a *app) readOut(signer *pen, id, in, out string) error {
	if out == "" {
		return &study.Error{Code: "usage.arguments", Op: "what is read is written to a file, and none is named", Exit: study.ExitUsage, Hint: "add --out FILE"}
	}
	file, err := readKey(signer.key, id)
	if err != nil {
		return err
	}
	box, err := os.ReadFile(in)
	if err != nil {
		return &study.Error{Code: "vault.unread", Op: "the file cannot be read", Exit: study.ExitUsage, Hint: "name the file that `longitude vault run` wrote"}
	}
	words, err := a.passphrase(id, "LONGITUDE_PASSPHRASE", signer.passphraseFile)
	if err != nil {
		return err
	}
	key, err := people.OpenKey(file, words)
	if err != nil {
		return err
	}
	plain, err := key.Decrypt(bytes.NewReader(box))
	if err != nil {
		return err
	}
	f, err := exclusive(out)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, plain)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(out)
		return &study.Error{Code: "vault.unread", Op: "the file was changed, or cannot be written", Exit: study.ExitBlocked, Hint: "ask for it again"}
	}
	return nil
}

// erased is what an erasure answers.
type erased struct {
	Request int64 `json:"request"`
	Objects int   `json:"objects"`
	Rows    int   `json:"rows"`
	Unread  int   `json:"unread_objects"`
}

// erase carries out an erasure: nothing of the person is taken any more, what the
// vault holds goes, then what waits in quarantine and what was landed. Whatever
// interrupts it, running it again goes on.
func (h *house) erase(ctx context.Context, r *postgres.VaultState, actor string) error {
	started, err := h.store.StartVault(ctx, r.ID, actor)
	if err != nil {
		return err
	}
	if err := h.withdrawAll(ctx, &started, study.Erasure, decision.Why{Reason: "participant_request", Actor: actor}); err != nil {
		return err
	}
	if err := h.store.EraseIdentities(ctx, &started); err != nil {
		return err
	}
	study.Reached(study.PointErased)
	done, err := h.eraseLanded(ctx, &started)
	if err != nil {
		return err
	}
	if _, err := h.recalculate(ctx, r.Study, r.Participants, actor); err != nil {
		return err
	}
	study.Reached(study.PointBeforeEnd)
	if err := h.store.Erased(ctx, &started, actor, map[string]any{"objects": done.Objects, "rows": done.Rows, "unread_objects": done.Unread}); err != nil {
		return err
	}
	if err := h.a.print(done, []string{"request", "objects", "rows", "unread objects"}, [][]string{numbers(done.Request, int64(done.Objects), int64(done.Rows), int64(done.Unread))}); err != nil {
		return err
	}
	if done.Unread > 0 {
		h.a.progress("%s cannot be read, so nobody knows whose rows they hold: correct the mapping, then ask for the erasure again", plural(done.Unread, "landed object"))
		return exitWith(study.ExitRejections)
	}
	return nil
}

// withdrawAll records the withdrawal of each participant of a request, once.
func (h *house) withdrawAll(ctx context.Context, r *postgres.VaultState, scope string, why decision.Why) error {
	for _, participant := range r.Participants {
		_, err := h.decide(ctx, study.Decision{Kind: study.Withdraw, Study: r.Study, Participant: participant, Deviation: study.DeviationKey{Detail: scope}}, why)
		if err != nil && codeOf(err) != "decision.repeated" {
			return err
		}
	}
	return nil
}

// eraseLanded erases rows from what the sources of the study delivered. The objects
// of a source that is no longer configured cannot be read.
func (h *house) eraseLanded(ctx context.Context, r *postgres.VaultState) (erased, error) {
	done := erased{Request: r.ID}
	names, err := h.store.SourcesOf(ctx, r.Study)
	if err != nil {
		return done, err
	}
	for _, name := range names {
		i := slices.IndexFunc(h.cfg.Sources, func(s *config.SourceConfig) bool { return s.Name == name })
		if i < 0 {
			objects, err := h.store.Objects(ctx, name, false)
			if err != nil {
				return done, err
			}
			done.Unread += len(objects)
			continue
		}
		f, err := h.landed(h.cfg.Sources[i])
		if err != nil {
			return done, err
		}
		var e pipeline.Erasure
		if e, err = h.ingester().Erase(ctx, f, func(o study.LandedObject, rows study.ErasedRows) error { return h.store.EraseRows(ctx, r.ID, o, rows) }); err != nil {
			return done, err
		}
		done.Objects, done.Rows, done.Unread = done.Objects+e.Objects, done.Rows+e.Rows, done.Unread+e.Unread
	}
	return done, nil
}
