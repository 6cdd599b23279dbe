// Boxes and points on a photo. All lengths are pixels of the photo, whatever its size on the screen.
//
// Python owns what is drawn. Each finished stroke is counted and reported with all that is drawn by then; what comes back
// bears the count of the last stroke that Python has seen, and is taken up only if no later one is on its way.

const CLICK = 5; // screen pixels: whoever moves less has clicked
const CORNERS = ["nw", "ne", "sw", "se"];

const canvases = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  if (!canvases.has(parentElement)) canvases.set(parentElement, new Canvas(parentElement));
  const canvas = canvases.get(parentElement);
  canvas.show(data, (drawn) => setStateValue("drawn", drawn));
  return () => {
    canvases.delete(parentElement);
    canvas.frame.remove();
  };
}

class Canvas {
  constructor(parent) {
    this.frame = element("div", "frame", { tabIndex: 0, role: "group" });
    this.picture = element("img", "", { draggable: false });
    this.marks = element("div", "marks");
    this.frame.append(this.picture, this.marks);
    this.frame.addEventListener("pointerdown", (event) => this.press(event));
    this.frame.addEventListener("pointermove", (event) => this.drag(event));
    this.frame.addEventListener("pointerup", (event) => this.release(event));
    // A second finger: the browser scrolls or zooms from here on.
    this.frame.addEventListener("pointercancel", () => this.abandon());
    this.frame.addEventListener("keydown", (event) => this.key(event));
    parent.append(this.frame);
  }

  show(data, report) {
    const another = data.photo !== this.photo;
    this.report = report;
    this.tool = data.tool;
    if (another) {
      Object.assign(this, { photo: data.photo, width: data.width, height: data.height });
      this.picture.src = data.picture;
      this.picture.alt = data.alt;
      this.frame.ariaLabel = `Boxes on ${data.alt}. The numbers beside it say the same.`;
      this.frame.style.setProperty("--ratio", data.width / data.height);
    }
    if (another || data.strokes === this.strokes) {
      if (another || data.boxes.length !== this.boxes.length) this.selected = null;
      Object.assign(this, { boxes: data.boxes, points: data.points, strokes: data.strokes });
    }
    if (another) this.stroke = null;
    this.render();
  }

  press(event) {
    if (!event.isPrimary || event.button !== 0) return;
    this.frame.setPointerCapture(event.pointerId);
    const mark = event.target.dataset;
    const stroke = { from: this.position(event), screen: [event.clientX, event.clientY], moved: false };
    if (this.tool !== "box") stroke.kind = "point";
    else if (mark.corner) Object.assign(stroke, { kind: "resize", corner: mark.corner });
    else if (mark.box && Number(mark.box) === this.selected) stroke.kind = "move";
    else stroke.kind = "draw";
    this.stroke = stroke;
  }

  drag(event) {
    const stroke = this.stroke;
    if (!stroke || !event.isPrimary) return;
    const [x, y] = stroke.screen;
    stroke.moved ||= Math.hypot(event.clientX - x, event.clientY - y) >= CLICK;
    if (stroke.moved) stroke.box = this.dragged(stroke, this.position(event));
    this.render();
  }

  dragged({ kind, from, corner }, to) {
    const box = this.boxes[this.selected];
    if (kind === "draw") return ordered([...from, ...to]);
    if (kind === "resize") {
      const [left, top, right, bottom] = box;
      const opposite = [corner.includes("w") ? right : left, corner.includes("n") ? bottom : top];
      return ordered([...opposite, ...to]);
    }
    if (kind === "move") {
      const right = clamp(to[0] - from[0], -box[0], this.width - box[2]);
      const down = clamp(to[1] - from[1], -box[1], this.height - box[3]);
      return [box[0] + right, box[1] + down, box[2] + right, box[3] + down];
    }
  }

  release(event) {
    const stroke = this.stroke;
    if (!stroke || !event.isPrimary) return;
    this.stroke = null;
    if (stroke.kind === "point") this.mark(stroke.from);
    else if (!stroke.moved) this.select(stroke.from);
    else if (this.hasArea(stroke.box)) this.finish(stroke);
    this.render();
  }

  finish({ kind, box }) {
    if (kind === "draw") this.selected = this.boxes.length;
    this.boxes = this.boxes.toSpliced(this.selected, 1, box);
    this.tell();
  }

  // A point where there is none; where there is one, it goes.
  mark([x, y]) {
    const near = (CLICK * 2 * this.width) / this.frame.clientWidth;
    const there = this.points.findIndex(([px, py]) => Math.hypot(px - x, py - y) < near);
    if (there >= 0) this.points = this.points.toSpliced(there, 1);
    else this.points = [...this.points, [x, y, this.tool === "keep"]];
    this.tell();
  }

  // The smallest box at a place; the selected one, clicked again, is let go, so that others can be drawn in it.
  select([x, y]) {
    const area = (i) => (this.boxes[i][2] - this.boxes[i][0]) * (this.boxes[i][3] - this.boxes[i][1]);
    const under = [...this.boxes.keys()].filter((i) => {
      const [left, top, right, bottom] = this.boxes[i];
      return left <= x && x <= right && top <= y && y <= bottom;
    });
    const smallest = under.sort((a, b) => area(a) - area(b))[0] ?? null;
    this.selected = smallest === this.selected ? null : smallest;
  }

  key(event) {
    if (event.key === "Escape") this.abandon();
    if ((event.key === "Delete" || event.key === "Backspace") && this.selected !== null && !this.stroke) {
      event.preventDefault();
      this.boxes = this.boxes.toSpliced(this.selected, 1);
      this.selected = null;
      this.tell();
      this.render();
    }
  }

  abandon() {
    if (!this.stroke) this.selected = null;
    this.stroke = null;
    this.render();
  }

  tell() {
    this.strokes += 1;
    this.report({ photo: this.photo, boxes: this.boxes, points: this.points, strokes: this.strokes });
  }

  position(event) {
    const shown = this.frame.getBoundingClientRect();
    return [
      Math.round(clamp((event.clientX - shown.left) / shown.width, 0, 1) * this.width),
      Math.round(clamp((event.clientY - shown.top) / shown.height, 0, 1) * this.height),
    ];
  }

  hasArea([left, top, right, bottom]) {
    const scale = this.frame.clientWidth / this.width;
    return (right - left) * scale >= CLICK && (bottom - top) * scale >= CLICK;
  }

  render() {
    const boxes = this.boxes.map((box, i) => this.outline(box, i));
    const drawn = this.stroke?.box;
    if (drawn) {
      const replaced = this.stroke.kind === "draw" ? boxes.length : this.selected;
      boxes[replaced] = this.outline(drawn, replaced);
    }
    this.marks.replaceChildren(...boxes, ...this.points.map((point, i) => this.dot(point, i)));
    this.frame.dataset.tool = this.tool;
  }

  outline(box, number) {
    const [left, top, right, bottom] = box;
    const outline = element("div", number === this.selected ? "box selected" : "box");
    outline.dataset.box = number;
    this.place(outline, { left, top, width: right - left, height: bottom - top });
    outline.append(element("span", "number", { textContent: number + 1 }));
    if (number === this.selected && this.tool === "box") {
      for (const corner of CORNERS) {
        const handle = element("i", `handle ${corner}`);
        handle.dataset.corner = corner;
        outline.append(handle);
      }
    }
    return outline;
  }

  dot([x, y, keep], number) {
    const dot = element("span", keep ? "dot keep" : "dot leave", { textContent: `${keep ? "+" : "−"}${number + 1}` });
    this.place(dot, { left: x, top: y });
    return dot;
  }

  place(mark, lengths) {
    for (const [name, length] of Object.entries(lengths)) {
      const whole = name === "left" || name === "width" ? this.width : this.height;
      mark.style[name] = `${(100 * length) / whole}%`;
    }
  }
}

function element(tag, className, properties = {}) {
  return Object.assign(document.createElement(tag), { className }, properties);
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

function ordered([x1, y1, x2, y2]) {
  return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
}
