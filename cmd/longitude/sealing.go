package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"longitude/internal/audit"
	"longitude/study"
)

// sealEvery is how long an event waits for its place in the audit log while the
// service runs.
const sealEvery = time.Second

// seals has the audit log sealed: what a command recorded, and what one before it
// that was killed left, when the command ends; publications at once.
func (h *house) seals() error {
	id, keys, err := h.ring.AuditSigners()
	if err != nil {
		return err
	}
	if h.signer, err = audit.NewSigner(id, keys...); err != nil {
		return err
	}
	if h.unguarded {
		return nil
	}
	h.store.SealWith(h.signer)
	h.closers = append(h.closers, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.seal(ctx); err != nil {
			h.a.report(err)
		}
	})
	return h.writeAuditPolicy()
}

func (h *house) seal(ctx context.Context) error {
	_, _, err := h.store.Seal(ctx, h.signer)
	return err
}

// sealing seals until ctx ends. A failure is logged once, until it is over.
func (h *house) sealing(ctx context.Context) {
	failed := false
	for sleep(ctx, sealEvery) == nil {
		err := h.seal(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			h.a.log.Error("the audit log is not sealed", "code", codeOf(err))
		}
		failed = err != nil
	}
}

// auditPolicyFile is where the policy of the audit log is written, for its operator
// to publish out of band.
func auditPolicyFile(dataDir string) string {
	return filepath.Join(dataDir, "policy", "audit.tlog-policy")
}

func (h *house) writeAuditPolicy() error {
	file := auditPolicyFile(h.cfg.Service.DataDir)
	want := h.signer.Policy().Marshal()
	if there, err := os.ReadFile(file); err == nil && string(there) == string(want) {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, want, 0o644)
	}
	if err != nil {
		return &study.Error{Code: "audit.policy_unwritten", Op: "cannot write the policy of the audit log", Exit: study.ExitEnvironment,
			Hint: "set service.data_dir to a folder this user may write to"}
	}
	return nil
}
