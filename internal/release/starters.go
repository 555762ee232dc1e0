package release

import (
	"bytes"
	"embed"
	"encoding/json"
	"strconv"
	"strings"
	"text/template"
)

//go:embed starters
var starterFiles embed.FS

var starterTemplates = template.Must(template.ParseFS(starterFiles, "starters/*"))

// starters are programs to begin an analysis with, about the tables that this release
// has. The notebook holds the cells of the Python program.
func starters(m *Manifest) ([]document, error) {
	about := struct {
		ID, Study, Version string
		Observations       bool
	}{m.ID, m.Longitude.Study, m.Version, false}
	for _, r := range m.Resources {
		about.Observations = about.Observations || r.Name == tableObservations
	}
	var docs []document
	for _, name := range []string{"quickstart.py", "quickstart.R", "queries.sql"} {
		var b bytes.Buffer
		if err := starterTemplates.ExecuteTemplate(&b, name, about); err != nil {
			return nil, err
		}
		docs = append(docs, document{"starters/" + name, b.Bytes()})
	}
	notebook, err := notebookOf(string(docs[0].content))
	return append(docs, document{"starters/quickstart.ipynb", notebook}), err
}

// notebookOf makes a notebook (Jupyter's format 4.5) of a program: its introduction,
// then a cell for each part of it.
func notebookOf(program string) ([]byte, error) {
	_, rest, _ := strings.Cut(program, `"""`)
	about, code, _ := strings.Cut(rest, `"""`)
	title, how, _ := strings.Cut(strings.TrimSpace(about), "\n")
	_, how, _ = strings.Cut(how, "\n\n    ")
	_, how, _ = strings.Cut(how, "\n")
	code = strings.Replace(code, "pathlib.Path(__file__).resolve().parents[1]", `pathlib.Path.cwd().parent`, 1)
	cells := []map[string]any{{"cell_type": "markdown", "id": "about", "metadata": map[string]any{}, "source": "# " + title + "\n\n" + strings.TrimSpace(how)}}
	for i, part := range strings.Split(strings.TrimSpace(code), "\n\n\n") {
		cells = append(cells, map[string]any{"cell_type": "code", "id": "cell-" + strconv.Itoa(i+1), "metadata": map[string]any{}, "source": part,
			"outputs": []any{}, "execution_count": nil})
	}
	b, err := json.MarshalIndent(map[string]any{"cells": cells, "nbformat": 4, "nbformat_minor": 5,
		"metadata": map[string]any{"kernelspec": map[string]any{"display_name": "Python 3", "language": "python", "name": "python3"}}}, "", " ")
	return append(b, '\n'), err
}
