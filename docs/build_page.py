"""Run a notebook and write it as one HTML page that shows every figure without a network.

    python docs/build_page.py notebooks/00_tour.ipynb build/tour.html

Plotly figures become live HTML with plotly.js stored once in the page; one with sliders brings its states and answers
as well. Any other widget needs a kernel, so the page keeps what it showed at first: the picture or the HTML that came
with it, the figures inside it, or one line that says where it lives.
Cells tagged `result-table` and `receipt` are printed as text when the run is over.
"""

import argparse
import html
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from page_figures import figure_html, with_scripts

from tpainn_lite.structures.files import write_text

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
PRINTED_TAGS = ("result-table", "receipt")
PROGRESS = r"%\||(it|frame|step)s?/s\]"
CAPTION = "<p><em>{}</em></p>"


def run(notebook, folder, timeout=600):
    """Execute every cell in place, in a fresh kernel that works in `folder`; what is for Colab alone is left out."""
    notebook.cells = [cell for cell in notebook.cells if "colab" not in cell.metadata.get("tags", ())]
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    os.environ["TPAINN_PAGE"] = "yes"  # figures with sliders carry their states
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else the kernel's debugger grumbles about frozen modules
    total = len(notebook.cells)

    def report(cell, cell_index, **_):
        if sys.stderr.isatty():
            print(f"\r  cell {cell_index + 1} of {total} ", end="", file=sys.stderr, flush=True)

    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=timeout,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=report,
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
    ).execute()


class Page:
    """Turns the outputs of an executed notebook into outputs that need no kernel and no network.

    `draw(spec, number)` makes HTML of a Plotly figure; figures are counted from 1.
    """

    def __init__(self, notebook, draw=None):
        self.draw = draw or live_figure
        self.models = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
        self.n_figures = 0
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [new for output in cell.outputs for new in self.offline(output)]
                if cell.metadata.get("jupyter", {}).get("source_hidden"):  # it holds an answer
                    cell.metadata["transient"] = {"remove_source": True}
        notebook.metadata.pop("widgets", None)

    def offline(self, output):
        """The list of outputs that replaces one output."""
        data = output.get("data", {})
        if PLOTLY in data:
            return [self.figure(data[PLOTLY])]
        if WIDGET not in data:
            return [output]
        if set(data) - {WIDGET, "text/plain"}:  # a picture came with it
            return [html_output({key: value for key, value in data.items() if key != WIDGET})]
        return self.widget(data[WIDGET]["model_id"], data.get("text/plain", ""))

    def figure(self, spec):
        """A Plotly figure as HTML."""
        self.n_figures += 1
        spec = {key: spec[key] for key in ("data", "layout", "frames", "states") if key in spec}
        return html_output({"text/html": self.draw(spec, self.n_figures)})

    def widget(self, model_id, text):
        """What a widget showed when it was made."""
        if re.search(PROGRESS, text):  # a progress bar that is over
            return []
        shown = self.inside(model_id)
        state = self.models.get(model_id, {}).get("state", {})
        if shown and ("_widget_data" in state or "outputs" in state):  # a bare figure: there is nothing to control
            return shown
        if shown:
            return [*shown, html_output({"text/html": CAPTION.format("Its controls answer in the live notebook.")})]
        lone = CAPTION.format("A control stands here in the live notebook.")
        return [html_output({"text/html": lone})] if text else []

    def inside(self, model_id):
        """The figures, outputs and words in a widget and its children, from top to bottom."""
        model = self.models.get(model_id, {})
        state = model.get("state", {})
        if "_widget_data" in state:
            return [self.figure(figure_of(model))]
        shown = [new for output in state.get("outputs", ()) for new in self.offline(nbformat.from_dict(output))]
        if words := words_of(model):
            shown.append(html_output({"text/html": words}))
        for child in state.get("children", ()):
            shown += self.inside(child.removeprefix("IPY_MODEL_"))
        return shown


def words_of(model):
    """What a control says, as HTML: a text itself, a button its label, anything else its name and value."""
    kind, state = model.get("model_name", ""), model.get("state", {})
    if kind == "HTMLModel":
        return f"<p>{state['value']}</p>" if state.get("value") else ""
    label = html.escape(str(state.get("description", "")))
    if kind in ("ButtonModel", "ToggleButtonModel", "CheckboxModel"):
        return f"<p>☐ {label}</p>" if label else ""
    options = state.get("_options_labels")
    value = options[state["index"]] if options and state.get("index") is not None else state.get("value")
    return f"<p>{label}: {html.escape(str(value))}</p>" if label and isinstance(value, (int, float, str)) else ""


def live_figure(spec, number):
    """A Plotly figure for a page of its own; the first on the page brings plotly.js."""
    figure = figure_html(spec, number)
    return with_scripts(figure) if number == 1 else figure


def html_output(data):
    return nbformat.v4.new_output("display_data", data)


def figure_of(model):
    """The Plotly figure in the stored state of a FigureWidget, its binary arrays put back."""
    state = model["state"]
    for buffer in model.get("buffers", ()):
        *way, last = buffer["path"]
        holder = state
        for step in way:
            holder = holder[step]
        holder.pop(last, None)
        holder["bdata"] = buffer["data"]
        holder["shape"] = ", ".join(map(str, holder.get("shape", [])))
    return {"data": state["_widget_data"], "layout": state.get("_widget_layout", {})}


def to_page(notebook):
    """The notebook as HTML; only formulas ask the network, for MathJax, and stay readable without it."""
    exporter = HTMLExporter(embed_images=True, require_js_url="", jquery_url="", mermaid_js_url="")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title(notebook)}})
    return body


def printed(notebook, tag):
    """The text shown by the cells that carry a tag."""
    cells = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ()) and cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    return "\n".join((o.get("text") or o.get("data", {}).get("text/plain", "")).rstrip() for o in outputs)


def title(notebook):
    """The first heading, without its mark."""
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines())
    return next((line.removeprefix("# ").strip() for line in lines if line.startswith("# ")), "tpainn_lite")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if not args.notebook.is_file():
        sys.exit(f"there is no notebook {args.notebook}")
    started = time.perf_counter()
    notebook = nbformat.read(args.notebook, as_version=4)
    try:
        run(notebook, args.notebook.parent)
    except CellExecutionError as error:
        sys.exit(f"\n{args.notebook} did not reach its end:\n{error}")
    tables = [text for tag in PRINTED_TAGS if (text := printed(notebook, tag))]
    figures = Page(notebook).n_figures
    write_text(args.out, to_page(notebook))
    print("", *tables, "", sep="\n")
    size, seconds = args.out.stat().st_size / 1e6, time.perf_counter() - started
    print(f"{args.out}: {figures} figures, {size:.1f} MB, made in {seconds:.0f} s. Open it in a browser.")


if __name__ == "__main__":
    main()
