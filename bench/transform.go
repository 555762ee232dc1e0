package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"time"

	"longitude/internal/config"
	"longitude/study"
	"longitude/transform"
	formatlist "longitude/transform/formats/all"
)

// phases is the time, on one core, of what transform does with the workload: the
// bytes of each file decoded; decoded and mapped, field checks on; and all files
// side by side, decoded, mapped and judged, windows and deviations on.
type phases struct {
	Records int    `json:"records"`
	Decode  Sample `json:"decode"`
	Map     Sample `json:"decode_map"`
	All     Sample `json:"decode_map_judge"`
}

// transform measures transform alone, in a process of its own with one core.
func (r *round) transform(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s, out, err := command(ctx, []string{"GOMAXPROCS=1"}, self, "-transform", r.data)
	if err != nil {
		return err
	}
	var p phases
	if err := json.Unmarshal(out, &p); err != nil {
		return err
	}
	if p.Records != r.truth.Records {
		return fmt.Errorf("transform made %d records of %d", p.Records, r.truth.Records)
	}
	for measure, sample := range map[string]Sample{"transform: decode": p.Decode, "transform: decode, map": p.Map, "transform: decode, map, judge": p.All} {
		sample.PeakRSS = s.PeakRSS
		r.sample(measure, sample)
	}
	return nil
}

// transformAlone is that process.
func transformAlone(ctx context.Context, dir, profile string) error {
	cfg, findings := config.Load(filepath.Join(dir, "config"), config.Options{})
	if config.Failed(findings) {
		return errors.New("the configuration of the workload is not valid")
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var p phases
	var feeds []*feed
	for _, src := range cfg.Sources {
		text, err := os.ReadFile(filepath.Join(dir, src.Map.Forms[0].Form+".csv"))
		if err != nil {
			return err
		}
		feeds = append(feeds, &feed{study: cfg.Studies[0], source: &src.Source, text: text})
	}
	for _, phase := range []struct {
		took *Sample
		do   func(context.Context, []*feed) (int, error)
	}{{&p.Decode, decodeOnly}, {&p.Map, decodeAndMap}, {&p.All, decodeMapAndJudge}} {
		started, cpu := time.Now(), ownCPU()
		n, err := phase.do(ctx, feeds)
		if err != nil {
			return err
		}
		*phase.took = Sample{Seconds: time.Since(started).Seconds(), CPU: ownCPU() - cpu}
		if p.Records == 0 {
			p.Records = n
		}
		if n != p.Records {
			return fmt.Errorf("%d records in one phase, %d in another", n, p.Records)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(p)
}

// feed is one file of the workload.
type feed struct {
	study  *study.Study
	source *study.Source
	text   []byte
}

func (f *feed) rows(ctx context.Context) iter.Seq2[*transform.Rows, error] {
	return formatlist.Formats()[f.source.Format.Type].Decode(ctx, f.source.Format, bufio.NewReader(bytes.NewReader(f.text)))
}

// mapped yields what each batch of rows maps to, valid until the next.
func (f *feed) mapped(ctx context.Context) iter.Seq2[*transform.Mapped, error] {
	return func(yield func(*transform.Mapped, error) bool) {
		mapper, problems := transform.NewMapper(f.study, f.source)
		if problems != nil {
			yield(nil, errors.New("the mapping of the workload does not fit its study"))
			return
		}
		var out transform.Mapped
		bound := false
		for rows, err := range f.rows(ctx) {
			if err == nil && !bound {
				if wrong := mapper.Bind(rows.Columns); wrong != nil {
					err = wrong
				}
				bound = true
			}
			if err != nil {
				yield(nil, err)
				return
			}
			out.Reset()
			mapper.Map(rows, &out)
			if !yield(&out, nil) {
				return
			}
		}
		out.Reset()
		mapper.Finish(&out)
		yield(&out, nil)
	}
}

func decodeOnly(ctx context.Context, feeds []*feed) (n int, err error) {
	for _, f := range feeds {
		for rows, err := range f.rows(ctx) {
			if err != nil {
				return 0, err
			}
			n += rows.Len()
		}
	}
	return n, nil
}

func decodeAndMap(ctx context.Context, feeds []*feed) (n int, err error) {
	for _, f := range feeds {
		for m, err := range f.mapped(ctx) {
			if err != nil {
				return 0, err
			}
			n += len(m.Drafts)
		}
	}
	return n, nil
}

// decodeMapAndJudge judges each participant once, with the records of all files,
// which are in participant order: what the sorting of the pipeline would give.
func decodeMapAndJudge(ctx context.Context, feeds []*feed) (n int, err error) {
	rules := transform.NewRules(feeds[0].study)
	asOf, _ := study.ParseDate(asOf)
	readers := make([]*people, len(feeds))
	for i, f := range feeds {
		next, stop := iter.Pull2(f.mapped(ctx))
		defer stop()
		readers[i] = &people{next: next}
	}
	var news []study.Record
	for number := int64(1); ; number++ {
		news = news[:0]
		for _, r := range readers {
			if news, err = r.one(news, number); err != nil {
				return n, err
			}
		}
		if len(news) == 0 {
			return n, nil
		}
		n += len(news)
		prior := study.History{Participant: study.Participant{ID: number, Consented: study.NoDate, Withdrawn: study.NoDate, StatusOn: study.NoDate}}
		if j := rules.Judge(prior, news, asOf); len(j.Visits) == 0 {
			return n, errors.New("a participant of the workload has no visit")
		}
	}
}

// people hands out the drafts of one file, participant by participant.
type people struct {
	next  func() (*transform.Mapped, error, bool)
	batch []study.Draft
	done  bool
}

// one appends the next participant's records, without the sealing of door 1.
func (p *people) one(news []study.Record, number int64) ([]study.Record, error) {
	who := ""
	for {
		for len(p.batch) == 0 && !p.done {
			m, err, more := p.next()
			if err != nil {
				return news, err
			}
			if p.done = !more; more {
				p.batch = m.Drafts
			}
		}
		if p.done && len(p.batch) == 0 || who != "" && p.batch[0].Identity != who {
			return news, nil
		}
		d := &p.batch[0]
		who = d.Identity
		news = slices.Grow(news, 1)[:len(news)+1]
		r := &news[len(news)-1] // filled where it stands: what is not set here never is
		r.Participant, r.Ordinal, r.Line, r.Site, r.Form, r.Occurrence, r.Visit = number, d.Ordinal, d.Line, d.Site, d.Form, d.Occurrence, d.Visit
		r.Modified, r.Entered, r.Withdrawn, r.Consented, r.Status, r.StatusOn = d.Modified, d.Entered, d.Withdrawn, d.Consented, d.Status, d.StatusOn
		r.Change, r.Removed, r.Facts, r.Answers, r.Missing, r.Findings = d.Change, d.Removed, d.Facts, d.Answers, d.Missing, d.Findings
		p.batch = p.batch[1:]
	}
}
