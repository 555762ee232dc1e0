package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strconv"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/audit"
	"longitude/internal/keys"
	"longitude/internal/postgres"
	"longitude/study"
)

// openRing opens the keys. Where the KEK is in Cloud KMS, what it wraps is in a
// folder of its own.
func (h *house) openRing(ctx context.Context) (err error) {
	service := &h.cfg.Service
	if !keys.IsKMS(service.Keys) {
		h.ring, err = keys.Open(service.Keys)
	} else {
		var kek keys.KEK
		if kek, err = keys.DialKMS(ctx, service.Keys); err == nil {
			h.ring, err = keys.OpenWith(kek, service.KeysDir)
		}
	}
	if err == nil {
		h.closers = append(h.closers, func() { _ = h.ring.Close() })
	}
	return err
}

// pinKeys refuses other keys than those that a study's database was filled with, in
// every version.
func (h *house) pinKeys(ctx context.Context, studyName string) error {
	newest, err := h.ring.Newest(studyName)
	for version := 1; version <= newest && err == nil; version++ {
		key, keyErr := h.ring.DeriveVersion(studyName, "fingerprint", "", version)
		if keyErr != nil {
			return keyErr
		}
		err = h.store.PinKeys(ctx, studyName, version, sha256.Sum256(key.Bytes()))
	}
	return err
}

// recordKeys has the audit log tell of every key that there is.
func (h *house) recordKeys(ctx context.Context, actor string) error {
	list, err := h.ring.List()
	if err != nil {
		return err
	}
	var inUse []postgres.KeyInUse
	for _, k := range list {
		inUse = append(inUse, postgres.KeyInUse{Study: k.Study, Kind: k.Kind, Version: k.Version})
	}
	return h.store.RecordKeys(ctx, actor, inUse)
}

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "The keys of studies: list, create, rotate",
		Long: "A study has a root key, from which codes, date shifts and the seals of the vault\nare derived, and a key that signs its releases; the deployment has one that signs\nthe audit log. All are wrapped by the key encryption key of service.keys.\n\n" + exitCodes}
	cmd.AddCommand(a.keysListCommand(), a.keysCreateCommand(), a.keysRotateCommand())
	return cmd
}

func (a *app) keysListCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "list", Short: "List keys, their versions and what wraps them; no secret", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				if check {
					if err := h.ring.Check(ctx); err != nil {
						return err
					}
				}
				return a.printKeys(h)
			})
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "also open each of them")
	return cmd
}

func (a *app) printKeys(h *house) error {
	list, err := h.ring.List()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, k := range list {
		rows = append(rows, []string{k.Study, k.Kind, strconv.Itoa(k.Version), k.KEK})
	}
	return a.print(list, []string{"study", "kind", "version", "wrapped by"}, rows)
}

func (a *app) keysCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "create", Short: "Create the keys of studies that have none; a first sync does it too", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open(cmd.Context(), needDatabase) // registers every study, which creates its keys
			if err != nil {
				return err
			}
			defer h.close()
			return a.printKeys(h)
		},
	}
}

func (a *app) keysRotateCommand() *cobra.Command {
	var kind, studyName, from string
	var finish bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Replace a key: what was made with the old one stays valid", Args: cobra.NoArgs,
		Long: `  kek     wraps all keys again: under a new KEK where it is a file, under the present
          version where it is in Cloud KMS. Nothing else changes.
  vault   a new version of a study's root key: what is sealed from now on is sealed
          under it. With --finish what the vault holds already, but for notes to decisions
          and reasons of requests, which are signed as they are sealed.
  sign    a new key that signs a study's releases; the old ones stay in its policy.
  audit   a new key that signs the audit log, of which the old one signs the first
          checkpoint too. Restart the service afterwards.

Participant codes never change. New ids and date shifts in releases come with a new
release series: ` + "`longitude series open`" + `.`,
		Example: "  longitude keys rotate --kind kek\n  longitude keys rotate --kind vault --study amd-obs-01 --finish",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if finish && kind != "vault" || from != "" && kind != "kek" || studyName != "" && (kind == "kek" || kind == "audit") {
				return &study.Error{Code: "usage.arguments", Op: "a flag does not go with that kind of key; nothing was rotated", Exit: study.ExitUsage,
					Hint: "--finish is for vault, --from for kek, --study for vault and sign"}
			}
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			if err := h.rotate(cmd.Context(), kind, studyName, from, finish); err != nil {
				return err
			}
			return a.printKeys(h)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "kek, vault, sign or audit (required)")
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&from, "from", "", "kek: also open what this KEK of Cloud KMS (gcp-kms://…) has wrapped")
	cmd.Flags().BoolVar(&finish, "finish", false, "vault: make no new version, seal again what is sealed under older ones")
	return cmd
}

func (h *house) rotate(ctx context.Context, kind, studyName, from string, finish bool) error {
	actor, err := whoever()
	if err != nil {
		return err
	}
	switch kind {
	case "kek":
		return h.rewrap(ctx, actor, from)
	case "audit":
		_, err = h.ring.RotateAudit()
	case "sign", "vault":
		s, unknown := h.study(studyName)
		switch {
		case unknown != nil:
			return unknown
		case kind == "sign":
			_, err = h.ring.RotateSigner(s.Name)
		case finish:
			return h.reseal(ctx, s, actor)
		default:
			_, err = h.ring.RotateRoot(s.Name)
		}
		if err == nil {
			err = h.pinKeys(ctx, s.Name)
		}
		if err == nil {
			err = h.writePolicy(s)
		}
	default:
		return &study.Error{Code: "usage.kind", Op: "--kind names no kind of key", Exit: study.ExitUsage, Hint: "one of kek, vault, sign, audit; for new ids in releases see `longitude series open`"}
	}
	if err == nil {
		err = h.recordKeys(ctx, actor)
	}
	if err == nil && kind == "audit" {
		err = h.signWithNewest(ctx)
	}
	return err
}

// signWithNewest has the log go on under the newest of its keys, at once: the old key
// signs the first checkpoint too.
func (h *house) signWithNewest(ctx context.Context) error {
	id, all, err := h.ring.AuditSigners()
	if err != nil {
		return err
	}
	if h.signer, err = audit.NewSigner(id, all...); err != nil {
		return err
	}
	h.store.SealWith(h.signer)
	if err := h.writeAuditPolicy(); err != nil {
		return err
	}
	return h.seal(ctx)
}

func (h *house) rewrap(ctx context.Context, actor, from string) error {
	if from != "" {
		old, err := keys.DialKMS(ctx, from)
		if err != nil {
			return err
		}
		h.ring.AlsoOpen(old)
	}
	n, err := h.ring.Rewrap()
	if err != nil {
		return err
	}
	return h.store.Audit(ctx, audit.KeyRewrapped, actor, "", "key/kek", audit.OK, map[string]any{"keys": n})
}

// reseal seals what the vault holds of a study again, under its newest key.
func (h *house) reseal(ctx context.Context, s *study.Study, actor string) error {
	newest, err := h.ring.Newest(s.Name)
	if err != nil {
		return err
	}
	again, err := deid.NewResealer(h.ring, s.Name, rand.Reader)
	if err != nil {
		return err
	}
	n, err := h.store.Reseal(ctx, s.Name, newest, again, actor)
	h.a.progress("%s: %d values sealed again", s.Name, n)
	return err
}
