import "virtual:report.css";
import "../ui/style.css";
import { render } from "preact";

render(<h1>see</h1>, document.getElementById("main") as HTMLElement);
