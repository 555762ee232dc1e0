// Package longitude is a map of the house; there is no code here.
//
// Longitude turns the drops, webhooks and EDC systems of a longitudinal
// clinical study into versioned, de-identified, verifiable datasets, and can
// say for every value where it came from, which rule judged it, and who
// released it. Data walk through the house once, left to right; nothing flows
// back.
//
//	         fetch bytes      keep bytes    bytes → records    identity leaves    record          guard              publish
//	source ─▶ connectors ────▶ landing ────▶ transform ───────▶ deid (door 1) ───▶ postgres ─────▶ deid (door 2) ───▶ sinks
//	                                                              │ sealed                           columnar, release
//	                                                              ▼
//	                                                            vault
//	pipeline drives it; cmd wires it
//
// The rooms:
//
//   - study: the vocabulary. Study, protocol, visit, form, field, record,
//     batch, deviation, lineage, error. Imports the standard library only.
//   - connectors: fetch raw objects and do not interpret them. One folder per
//     kind of source; connectors/all is the list.
//   - transform: bytes to judged records, pure. Formats below it decode;
//     mapping, checks, visit windows and deviations follow. No clock, no I/O.
//   - deid: the only doors out. Splits identity from research data on the way
//     in, applies class rules on the way to a release. What has not passed
//     cannot be published: it does not compile.
//   - pipeline: the order of work, retries, accounting. Knows no vendor.
//   - sinks: publish finished, hashed parts of a release, all or nothing.
//     One folder per destination; sinks/all is the list.
//   - migrations: the numbered SQL of our own database.
//   - internal: what the rooms stand on. postgres holds all SQL on our own
//     database; localpg runs a private one; landing keeps raw objects sealed
//     in an objectstore; columnar speaks Parquet and Arrow; release plans,
//     describes, signs and verifies; keys derives and protects keys; config
//     reads YAML; api, console, status and telemetry show what happens; synth
//     invents a study; edctest imitates the systems at the far end.
//   - cmd: the one binary, the only place where everything meets.
//   - configs: working examples, loaded by tests.
//   - docs: one page per question. deploy: what it takes to run elsewhere.
//     bench: the measurements, one command. test: engines too heavy for the
//     product's own module.
//
// Who may import whom is in house_test.go, as a table with reasons.
package longitude
