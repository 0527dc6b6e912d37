package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// plotted is a curve with its points.
type plotted struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	Series []series `json:"series"`
}

type series struct {
	Name   string       `json:"name,omitempty"`
	Points [][2]float64 `json:"points"`
}

func (p *plotted) add(name string, x, y float64) {
	for i := range p.Series {
		if p.Series[i].Name == name {
			p.Series[i].Points = append(p.Series[i].Points, [2]float64{x, y})
			return
		}
	}
	p.Series = append(p.Series, series{name, [][2]float64{{x, y}}})
}

// draw writes a plot of each curve.
func (r *results) draw(dir string) error {
	if len(r.Curves) == 0 {
		return errNoCurve
	}
	for i := range r.Curves {
		name := filepath.Join(dir, "performance-"+r.Curves[i].Name+".svg")
		if err := os.WriteFile(name, []byte(r.Curves[i].svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The page behind a plot may be light or dark: nothing is drawn behind, and all
// colours stand out from both.
const (
	ink  = "#808890"
	grid = "#808890"
)

var lines = []string{"#3b82f6", "#e8710a", "#22a06b"}

// axis maps values to places, both logarithmic.
type axis struct{ from, to, start, end float64 }

func (a axis) at(v float64) float64 {
	return a.start + (math.Log10(v)-a.from)/(a.to-a.from)*(a.end-a.start)
}

// decades are the powers of ten on an axis.
func (a axis) decades() (out []float64) {
	for e := math.Ceil(a.from); e <= a.to+1e-9; e++ {
		out = append(out, math.Pow(10, e))
	}
	return out
}

// svg draws the curve on logarithmic axes, so that a straight line through the
// decades is a cost that grows in step, and a flat one a cost that does not
// grow. Decades are as long up as across.
func (p *plotted) svg() string {
	const width, left, right, top, bottom = 640.0, 76.0, 24.0, 52.0, 52.0
	minX, maxX, minY, maxY := math.Inf(1), 0.0, math.Inf(1), 0.0
	for _, s := range p.Series {
		for _, point := range s.Points {
			minX, maxX = min(minX, point[0]), max(maxX, point[0])
			if point[1] > 0 {
				minY, maxY = min(minY, point[1]), max(maxY, point[1])
			}
		}
	}
	if maxX == 0 || maxY == 0 {
		return `<svg xmlns="http://www.w3.org/2000/svg"/>`
	}
	x := axis{math.Log10(minX), math.Log10(maxX), left, width - right}
	if x.to == x.from {
		x.to++
	}
	y := axis{math.Floor(math.Log10(minY)), math.Ceil(math.Log10(maxY)), 0, 0}
	if y.to == y.from {
		y.to++
	}
	decade := math.Min(110, (x.end-x.start)/(x.to-x.from))
	high := math.Max(150, math.Min(360, decade*(y.to-y.from)))
	y.start, y.end = top+high, top
	height := top + high + bottom

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" font-family="system-ui, sans-serif" font-size="13" fill="%s">`+"\n", width, height, width, height, ink)
	fmt.Fprintf(&b, `<title>%s</title>`+"\n", p.Title)
	fmt.Fprintf(&b, `<text x="%.0f" y="22" font-size="15" font-weight="600">%s</text>`+"\n", left-60, p.Title)
	line := func(x1, y1, x2, y2, opacity float64) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-opacity="%.2f"/>`+"\n", x1, y1, x2, y2, grid, opacity)
	}
	for _, v := range x.decades() {
		line(x.at(v), y.start, x.at(v), y.end, 0.3)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x.at(v), y.start+18, short(v))
	}
	for _, v := range y.decades() {
		line(x.start, y.at(v), x.end, y.at(v), 0.3)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", x.start-8, y.at(v)+4, short(v))
	}
	line(x.start, y.start, x.end, y.start, 1)
	line(x.start, y.start, x.start, y.end, 1)
	fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", (x.start+x.end)/2, height-12, p.X)
	fmt.Fprintf(&b, `<text x="%.0f" y="%.1f">%s</text>`+"\n", left-60, top-12, p.Y)
	for i, s := range p.Series {
		colour := lines[i%len(lines)]
		var path []string
		for _, point := range s.Points {
			if point[1] > 0 {
				path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(point[0]), y.at(point[1])))
			}
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), colour)
		for j, at := range path {
			cx, cy, _ := strings.Cut(at, ",")
			fmt.Fprintf(&b, `<circle cx="%s" cy="%s" r="3" fill="%s"><title>%s: %.3g</title></circle>`+"\n", cx, cy, colour, grouped(int64(s.Points[j][0])), s.Points[j][1])
		}
		if s.Name != "" {
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="end" fill="%s" font-weight="600">%s</text>`+"\n", x.end-float64(i)*80, top-12, colour, s.Name)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// short writes a power of ten.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
