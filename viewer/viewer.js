// The page's viewer: a panorama all around, rooms to go to, shots to play where they were taken.
//
// The page says what there is in `lookBeyond`; pictures come as scripts that call `lookBeyondPicture`, for a page that
// was opened from a disk may read no files but scripts, pictures and films.
import {
  Mesh, NoColorSpace, LinearFilter, ClampToEdgeWrapping, BackSide, PerspectiveCamera, RepeatWrapping, Scene,
  ShaderMaterial, SphereGeometry, Texture, Vector3, WebGLRenderer,
} from "three";

const FOV = 75, WIDEST = 100, NARROWEST = 25, TURN_A_KEY = 4, MOST_PITCH = 89;
const tour = window.lookBeyond;
const stage = document.getElementById("stage");
const waiting = new Map(), textures = new Map();
const state = { room: 0, yaw: 0, pitch: 0, roll: 0, fov: FOV, shot: null, sensors: false };

let renderer;
try {
  renderer = new WebGLRenderer({ antialias: true });
} catch (error) {
  document.body.classList.add("flat"); // the picture that those without scripts see, too
}

const scene = new Scene(), camera = new PerspectiveCamera(75, 1, 0.1, 100);
const material = new ShaderMaterial({
  side: BackSide,
  depthWrite: false,
  uniforms: { picture: { value: null }, heading: { value: 0 } },
  vertexShader: `
    varying vec3 ray;
    void main() {
      ray = position;
      gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
    }`,
  fragmentShader: `
    uniform sampler2D picture;
    uniform float heading;
    varying vec3 ray;
    void main() {
      vec3 d = normalize(ray);
      float u = 0.5 - (atan(-d.z, d.x) - heading) / 6.283185307179586;
      float v = 0.5 - asin(clamp(d.y, -1.0, 1.0)) / 3.141592653589793;
      gl_FragColor = vec4(texture2D(picture, vec2(u, v)).rgb, 1.0);
    }`,
});
const sphere = new Mesh(new SphereGeometry(10, 64, 32), material);
sphere.frustumCulled = false;
scene.add(sphere);

// --- pictures -------------------------------------------------------------------------------------------------

window.lookBeyondPicture = (number, address) => waiting.get(number)?.(address);

function picture(number) {
  if (!textures.has(number)) {
    textures.set(number, new Promise((resolve, reject) => {
      waiting.set(number, (address) => {
        const image = new Image();
        image.onload = () => {
          const texture = new Texture(image);
          texture.colorSpace = NoColorSpace;
          texture.flipY = false;
          texture.generateMipmaps = false; // they would draw a line where both ends of the picture meet
          texture.minFilter = texture.magFilter = LinearFilter;
          texture.wrapS = RepeatWrapping;
          texture.wrapT = ClampToEdgeWrapping;
          texture.needsUpdate = true;
          resolve(texture);
        };
        image.onerror = reject;
        image.src = address;
      });
      const script = document.createElement("script");
      script.src = tour.rooms[number].script;
      script.onerror = reject;
      document.head.append(script);
    }));
  }
  return textures.get(number);
}

async function enter(number, yaw = tour.rooms[number].yaw, pitch = tour.rooms[number].pitch) {
  closeShot();
  const texture = await picture(number);
  Object.assign(state, { room: number, yaw, pitch, fov: FOV });
  material.uniforms.picture.value = texture;
  material.uniforms.heading.value = tour.rooms[number].heading;
  document.body.dataset.room = number;
  document.querySelectorAll("#rooms button").forEach((button, place) => {
    button.setAttribute("aria-current", place === number ? "true" : "false");
  });
  drawPlan();
  placeMarks();
}

// --- looking around -------------------------------------------------------------------------------------------

const radians = (angle) => (angle * Math.PI) / 180;
const degrees = (angle) => (angle * 180) / Math.PI;

function direction(yaw, pitch) { // world (Z up) -> three (Y up)
  const level = Math.cos(radians(pitch));
  return new Vector3(level * Math.cos(radians(yaw)), Math.sin(radians(pitch)), -level * Math.sin(radians(yaw)));
}

function turn(yaw, pitch) {
  state.yaw = (((state.yaw + yaw + 180) % 360) + 360) % 360 - 180;
  state.pitch = Math.max(-MOST_PITCH, Math.min(MOST_PITCH, state.pitch + pitch));
}

function zoom(factor) {
  state.fov = Math.max(NARROWEST, Math.min(WIDEST, state.fov * factor));
}

const fingers = new Map();
stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest("button")) return;
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  stage.focus();
});
stage.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY];
  const perPixel = state.fov / stage.clientHeight;
  if (fingers.size === 1) {
    closeShot();
    turn((now[0] - before[0]) * perPixel, (now[1] - before[1]) * perPixel);
  } else {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
    if (apart(now) > 1) zoom(apart(before) / apart(now));
  }
  fingers.set(event.pointerId, now);
});
for (const kind of ["pointerup", "pointercancel"]) {
  stage.addEventListener(kind, (event) => fingers.delete(event.pointerId));
}
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  closeShot();
  zoom(Math.exp(event.deltaY / 1000));
}, { passive: false });

const KEYS = {
  ArrowLeft: () => turn(TURN_A_KEY, 0), ArrowRight: () => turn(-TURN_A_KEY, 0),
  ArrowUp: () => turn(0, TURN_A_KEY), ArrowDown: () => turn(0, -TURN_A_KEY),
  "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1 / 0.9),
};
window.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return closeShot();
  const number = Number(event.key) - 1;
  if (event.key.length === 1 && number >= 0 && number < tour.rooms.length) return void enter(number);
  const act = KEYS[event.key];
  if (!act || event.target.tagName === "VIDEO") return;
  event.preventDefault();
  closeShot();
  act();
});

// --- marks: other rooms and shots -----------------------------------------------------------------------------

const marks = [];
function placeMarks() {
  for (const mark of marks.splice(0)) mark.button.remove();
  const room = tour.rooms[state.room];
  const wanted = room.doors.map((door) => ({ ...door, label: `Go to ${tour.rooms[door.room].name}`, sign: "➜",
    act: () => enter(door.room, door.yaw) }));
  tour.shots.forEach((shot, number) => {
    if (shot.room === state.room) {
      wanted.push({ yaw: shot.yaw, pitch: shot.pitch, label: `Play ${shot.name}`, sign: "▶", act: () => play(number) });
    }
  });
  for (const mark of wanted) {
    const button = document.createElement("button");
    button.className = "mark";
    button.textContent = mark.sign;
    button.title = mark.label;
    button.setAttribute("aria-label", mark.label);
    button.addEventListener("click", mark.act);
    stage.append(button);
    marks.push({ button, at: direction(mark.yaw, mark.pitch) });
  }
}

function moveMarks() {
  for (const { button, at } of marks) {
    const place = at.clone().project(camera);
    const ahead = at.dot(camera.getWorldDirection(new Vector3())) > 0.05;
    const shown = ahead && Math.abs(place.x) < 1.1 && Math.abs(place.y) < 1.1 && state.shot === null;
    button.hidden = !shown;
    button.style.left = `${((place.x + 1) / 2) * stage.clientWidth}px`;
    button.style.top = `${((1 - place.y) / 2) * stage.clientHeight}px`;
  }
}

// --- shots ----------------------------------------------------------------------------------------------------

const film = document.getElementById("film");
function play(number) {
  const shot = tour.shots[number];
  state.shot = number;
  Object.assign(state, { yaw: shot.yaw, pitch: shot.pitch });
  // a little wider than the shot, so that its frame lies in the panorama it was taken in
  const shape = stage.clientWidth / stage.clientHeight;
  const tall = Math.max(1.2, (1.2 * shot.aspect) / shape);
  state.fov = Math.min(WIDEST, degrees(2 * Math.atan(Math.tan(radians(shot.fov) / 2) * tall)));
  film.src = shot.film;
  film.hidden = false;
  document.getElementById("close").hidden = false;
  film.currentTime = 0;
  film.play().catch(() => {}); // a browser may want a press on the film itself
  drawPlan();
}
function closeShot() {
  if (state.shot === null) return;
  state.shot = null;
  film.pause();
  film.removeAttribute("src");
  film.load();
  film.hidden = true;
  document.getElementById("close").hidden = true;
  drawPlan();
}
document.getElementById("close").addEventListener("click", closeShot);

function fitFilm() {
  if (state.shot === null) return;
  const shot = tour.shots[state.shot];
  const height = (stage.clientHeight * Math.tan(radians(shot.fov) / 2)) / Math.tan(radians(state.fov) / 2);
  film.style.height = `${height}px`;
  film.style.width = `${height * shot.aspect}px`;
}

// --- the plan -------------------------------------------------------------------------------------------------

const plan = document.getElementById("plan");
function drawPlan() {
  const room = tour.rooms[state.room];
  plan.hidden = !room.plan || state.shot !== null; // a film would lie under it
  if (plan.hidden) return;
  plan.innerHTML = room.plan;
  const svg = plan.querySelector("svg");
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  const element = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    svg.append(made);
  };
  for (const shot of tour.shots) {
    if (shot.room === state.room) {
      element("polyline", { points: shot.path, fill: "none", stroke: "#b3261e",
        "stroke-width": 0.06, "stroke-linecap": "round", "stroke-linejoin": "round" });
    }
  }
  element("path", { class: "gaze", d: "M0 0L1 -.7A1.2 1.2 0 0 1 1 .7Z", fill: "#1d6fb8", "fill-opacity": 0.45 });
}
function turnPlan() {
  const gaze = plan.querySelector(".gaze"), room = tour.rooms[state.room];
  if (gaze) gaze.setAttribute("transform", `translate(${room.at[0]} ${room.at[1]}) rotate(${-gazeYaw()})`);
}
function gazeYaw() {
  const ahead = camera.getWorldDirection(new Vector3());
  return degrees(Math.atan2(-ahead.z, ahead.x));
}

// --- phones and headsets --------------------------------------------------------------------------------------

const gyroscope = document.getElementById("gyroscope"), headset = document.getElementById("headset");
const WAIT_FOR_SENSORS_MS = 1500;
let sensedYaw = null, noSensors = 0;

// Where the back of the phone looks and how it is rolled, degrees, from the angles of the browser's event (Z, X', Y'':
// https://www.w3.org/TR/orientation-event/). The angles themselves jump when the phone is held upright, these do not.
function gaze(event) {
  const [a, b, c] = [event.alpha, event.beta, event.gamma].map(radians);
  const turned = radians(window.screen.orientation?.angle ?? window.orientation ?? 0);
  const [sa, ca, sb, cb, sc, cc] = [Math.sin(a), Math.cos(a), Math.sin(b), Math.cos(b), Math.sin(c), Math.cos(c)];
  const ahead = [-(ca * sc + sa * sb * cc), -(sa * sc - ca * sb * cc), -cb * cc];
  // how high the screen's upper side and its right side point
  const rightUp = -cb * sc * Math.cos(turned) - sb * Math.sin(turned);
  const upUp = -cb * sc * Math.sin(turned) + sb * Math.cos(turned);
  return {
    yaw: degrees(Math.atan2(ahead[1], ahead[0])),
    pitch: degrees(Math.asin(Math.max(-1, Math.min(1, ahead[2])))),
    roll: degrees(Math.atan2(-rightUp, upUp)),
  };
}

function fromSensors(event) {
  if (event.alpha === null || event.beta === null || event.gamma === null) return;
  clearTimeout(noSensors);
  const now = gaze(event);
  // which way the phone looked first does not matter; up and down do
  turn(sensedYaw === null ? 0 : ((now.yaw - sensedYaw + 540) % 360) - 180, now.pitch - state.pitch);
  state.roll = now.roll;
  sensedYaw = now.yaw;
}

function useSensors(on, words = "Turn with the phone") {
  clearTimeout(noSensors);
  Object.assign(state, { sensors: on, roll: 0 });
  sensedYaw = null;
  window[on ? "addEventListener" : "removeEventListener"]("deviceorientation", fromSensors);
  gyroscope.setAttribute("aria-pressed", on);
  gyroscope.textContent = words;
}

if ("DeviceOrientationEvent" in window && matchMedia("(pointer: coarse)").matches) {
  gyroscope.hidden = false;
  gyroscope.addEventListener("click", async () => {
    if (state.sensors) return useSensors(false);
    if (DeviceOrientationEvent.requestPermission) { // iPhones ask, and only upon a press
      const answer = await DeviceOrientationEvent.requestPermission().catch(() => "denied");
      if (answer !== "granted") return useSensors(false, "The phone did not allow it");
    }
    useSensors(true);
    noSensors = setTimeout(() => useSensors(false, "The phone tells no turns here"), WAIT_FOR_SENSORS_MS);
  });
}
if (renderer && navigator.xr) {
  navigator.xr.isSessionSupported("immersive-vr").then((supported) => {
    headset.hidden = !supported;
  }).catch(() => {});
  headset.addEventListener("click", async () => {
    const session = await navigator.xr.requestSession("immersive-vr").catch(() => null);
    if (!session) return;
    closeShot();
    renderer.xr.enabled = true;
    sphere.rotation.y = radians(90 - state.yaw); // a headset's first look is along -z: there lies what one saw
    session.addEventListener("end", () => {
      renderer.xr.enabled = false;
      sphere.rotation.y = 0;
      sphere.position.set(0, 0, 0);
    });
    renderer.xr.setReferenceSpaceType("local"); // which every headset has
    await renderer.xr.setSession(session);
  });
}

// --- drawing --------------------------------------------------------------------------------------------------

function draw() {
  if (!renderer.xr.isPresenting) {
    const width = stage.clientWidth, height = stage.clientHeight;
    renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    if (stage.dataset.size !== `${width}x${height}`) {
      stage.dataset.size = `${width}x${height}`;
      renderer.setSize(width, height);
      camera.aspect = width / height;
    }
    camera.fov = state.fov;
    camera.updateProjectionMatrix();
    camera.position.set(0, 0, 0);
    camera.lookAt(direction(state.yaw, state.pitch));
    camera.rotateZ(-radians(state.roll));
    camera.updateMatrixWorld();
    moveMarks();
    fitFilm();
    turnPlan();
    const { yaw, pitch, fov, roll } = state;
    document.body.dataset.looks = [yaw, pitch, fov, roll].map((angle) => angle.toFixed(1)).join(" ");
  } else {
    sphere.position.copy(renderer.xr.getCamera().position);
  }
  if (material.uniforms.picture.value) renderer.render(scene, camera);
}

tour.rooms.forEach((room, number) => {
  const button = document.createElement("button");
  button.textContent = room.name;
  button.addEventListener("click", () => enter(number));
  document.getElementById("rooms").append(button);
});
document.getElementById("rooms").hidden = tour.rooms.length < 2;
if (renderer) {
  stage.prepend(renderer.domElement);
  enter(0).then(() => {
    renderer.setAnimationLoop(draw);
    document.body.classList.add("ready");
  });
}
