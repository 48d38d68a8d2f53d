/** The page of a normalization: what its documentation says is there already, and the editor is put into it. */
import "virtual:report.css";
import "../ui/style.css";
import "./editor.css";
import type { Catalog } from "evenkeel";
import { render } from "preact";
// what open() gives with this backend, without the kernels of the others
import { reference } from "../../../dist/kernels/reference/reference.js";
import { Evenkeel } from "../../../dist/native/evenkeel.js";
import { Editor } from "./editor.tsx";

const place = document.getElementById("editor");
const name = place?.dataset.norm as keyof Catalog;
if (place) render(<Editor ek={new Evenkeel(reference)} name={name} />, place);
