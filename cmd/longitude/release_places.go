package main

import (
	"context"
	"net/url"
	"os"
	"slices"
	"strings"

	"longitude/internal/status"
	"longitude/sinks"
	sinklist "longitude/sinks/all"
	"longitude/study"
)

// openSinks opens every sink that the service says enough of, by name.
func (h *house) openSinks() (map[string]sinks.Sink, error) {
	out := map[string]sinks.Sink{}
	for _, spec := range sinklist.Specs() {
		config := h.cfg.Service.Sinks[spec.Type]
		if config == nil {
			config = spec.Config()
		}
		if len(spec.Validate(config)) > 0 {
			continue
		}
		sink, err := spec.Open(config, sinks.Runtime{DataDir: h.cfg.Service.DataDir})
		if err != nil {
			return nil, err
		}
		out[spec.Type] = sink
	}
	return out, nil
}

// sinks answers the places where a study's releases go.
func (h *house) sinks(s *study.Study) (map[string]sinks.Sink, error) {
	opened, err := h.places()
	if err != nil {
		return nil, err
	}
	to := s.Releases.To
	if len(to) == 0 {
		to = []string{"local"}
	}
	out := map[string]sinks.Sink{}
	for _, name := range to {
		if out[name] = opened[name]; out[name] == nil {
			return nil, &study.Error{Code: "sink.unknown", Op: "study " + s.Name + " publishes to a place of which neither this program nor the service document knows", Exit: study.ExitUsage,
				Hint: "list only sinks of this version under releases.to, and say under service.sinks where they are"}
		}
	}
	return out, nil
}

// folderOf is the folder that a location names: a file URL, or a path as it is.
func folderOf(location string) string {
	if u, err := url.Parse(location); err == nil && u.Scheme == "file" {
		return u.Path
	}
	return location
}

// nearest is where a release is read: in a folder of this machine, else in a bucket;
// "" where it is in neither.
func nearest(places []status.Place) string {
	for _, p := range places {
		if isFolder(folderOf(p.Location)) {
			return p.Location
		}
	}
	i := slices.IndexFunc(places, func(p status.Place) bool { return isBucket(p.Location) })
	if i < 0 {
		return ""
	}
	return places[i].Location
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isBucket reports whether a location has to be fetched.
func isBucket(location string) bool { return fetcher(location) != nil }

// fetcher is how releases of a location are fetched; nil for a folder.
func fetcher(location string) func(ctx context.Context, location, folder string, wanted func(path string) bool) error {
	for _, spec := range sinklist.Specs() {
		if spec.Scheme != "" && strings.HasPrefix(location, spec.Scheme) {
			return spec.Fetch
		}
	}
	return nil
}

// fetched is a folder with those files of a published release that are wanted (nil =
// all): the folder of the location itself, or a copy below temp, which clear removes.
func fetched(ctx context.Context, location, temp string, wanted func(path string) bool) (dir string, clear func(), err error) {
	fetch := fetcher(location)
	if fetch == nil {
		return folderOf(location), func() {}, nil
	}
	dir, err = os.MkdirTemp(temp, "fetched-*")
	if err != nil {
		return "", nil, &study.Error{Code: "release.temp_failed", Op: "could not make a folder for a release that is fetched", Exit: study.ExitEnvironment,
			Hint: "make room there, or set TMPDIR to a folder with room for the release"}
	}
	clear = func() { _ = os.RemoveAll(dir) }
	if err := fetch(ctx, location, dir, wanted); err != nil {
		clear()
		return "", nil, err
	}
	return dir, clear, nil
}
