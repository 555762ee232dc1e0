package pipeline

import (
	"context"
	"strconv"

	"longitude/study"
)

// gates refuse a release that would be wrong.
func gates(plan study.ReleasePlan, book Book, b *built) error {
	defect := func(code, what string) error {
		return &study.Error{Code: code, Op: "release " + plan.ID + " " + what, Exit: study.ExitBlocked,
			Hint: "nothing was published; this is a defect of Longitude, please report it"}
	}
	if rows, records := plan.Counts.Unaccounted(); rows != 0 || records != 0 {
		return defect("release.unbalanced", "is built from batches whose counts do not balance")
	}
	if book.Unaccounted() != 0 {
		return defect("release.unaccounted", "would lose records without a reason")
	}
	var people int64
	for _, a := range b.parts["participants"] {
		people += a.Rows()
	}
	if people > int64(b.participants) {
		return defect("release.participants", "would hold more participants than the study")
	}
	return nil
}

// waited refuses a release that follows the one before it sooner than the study
// allows: the fewer rows a release adds, the more the difference tells of whose they
// are. Days are counted between the days that the two are judged on.
func (r *Releaser) waited(ctx context.Context, plan study.ReleasePlan) error {
	least := r.Study.Deid.MinReleaseInterval
	if least == 0 || !plan.LastAsOf.Known() || int(plan.AsOf-plan.LastAsOf) >= least {
		return nil
	}
	if urgent, err := r.Urgent(ctx, plan); err != nil || urgent {
		return err
	}
	return &study.Error{Code: "release.too_soon", Exit: study.ExitBlocked,
		Op:   "release " + plan.ID + " would follow the one as of " + plan.LastAsOf.String() + " sooner than after " + strconv.Itoa(least) + " days",
		Hint: "build it as of " + (plan.LastAsOf + study.Date(least)).String() + " or later; `longitude release build --urgent REASON` is signed by a release manager"}
}
