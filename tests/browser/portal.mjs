// The portal in a real browser: link from the notice, code from the slip, message shown, attachment downloaded.
// usage: node portal.mjs WARDPOST NPM_FOLDER
import { spawn, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, unlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";

const [wardpost, npm] = process.argv.slice(2);
const { chromium } = createRequire(join(npm, "x.js"))("playwright-core");
let checks = 0;
const check = (name, ok, detail = "") => {
  if (!ok) throw new Error(`not ok ${name} ${detail}`);
  checks += 1;
  console.log(`ok ${name}`);
};

const demo = spawn(wardpost, ["demo"], { env: { ...process.env, WARDPOST_LOG: "error" }, stdio: ["ignore", "pipe", "inherit"] });
const printed = await new Promise((resolve, reject) => {
  let text = "";
  demo.stdout.on("data", (part) => { text += part; if (text.includes("Ctrl-C ends it")) resolve(text); });
  demo.on("exit", () => reject(new Error(`the demo ended: ${text}`)));
});
const found = (pattern) => printed.match(pattern)?.[1] ?? "";
const portal = found(/The portal is open at (\S+)/);
const config = found(/Configuration: (\S+)/);
const submissions = Number(found(/submissions +127\.0\.0\.1:(\d+)/));
const passwordFile = found(/Its password: written to (\S+)/);
const password = readFileSync(passwordFile, "utf8").trim();
unlinkSync(passwordFile);

/** Submits a message over TLS, the way a mail program does. */
async function submit(to, message) {
  const socket = connect({ port: submissions, host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false });
  let buffer = "";
  socket.setEncoding("utf8");
  const reply = () => new Promise((resolve, reject) => {
    const look = () => {
      const line = buffer.match(/^(\d{3}) .*\r\n/m);
      if (line) { buffer = ""; socket.off("data", more); line[1] < "400" ? resolve() : reject(new Error(line[0])); }
    };
    const more = (part) => { buffer += part; look(); };
    socket.on("data", more);
    look();
  });
  await reply();
  const token = Buffer.from(`\0ann@practice.example\0${password}`).toString("base64");
  for (const line of ["EHLO desk", `AUTH PLAIN ${token}`, "MAIL FROM:<ann@practice.example>", `RCPT TO:<${to}>`, "DATA", `${message}\r\n.`, "QUIT"]) {
    socket.write(`${line}\r\n`);
    await reply();
  }
  socket.end();
}

const html = '<h1>Your plan</h1><p>Take <b>one</b> a day.</p><script>parent.document.title="owned"</script><img src=x onerror="parent.document.title=\'owned\'"><iframe src="javascript:alert(1)"></iframe><a href="javascript:alert(2)">x</a><form action="https://evil.example"><input></form>';
const message = [
  "From: Ann <ann@practice.example>", "To: pat@verified.example", "Subject: [secure] your plan", "Message-ID: <browser@practice.example>", "MIME-Version: 1.0",
  'Content-Type: multipart/mixed; boundary="b"', "", "--b", "Content-Type: text/html; charset=utf-8", "", html, "--b",
  'Content-Type: text/plain; name="plan.txt"', 'Content-Disposition: attachment; filename="plan.txt"', "", "one a day", "--b--",
].join("\r\n");

const downloads = mkdtempSync(join(tmpdir(), "wardpost-browser-"));
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  await submit("pat@verified.example", message);
  let row;
  for (let i = 0; i < 100 && !row; i += 1) {
    const rows = execFileSync(wardpost, ["escrow", "list", "--json", "--config", config], { encoding: "utf8" }).trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
    row = rows.find((parcel) => parcel.message_id?.includes("browser@"));
    if (!row) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  check("the message is in the portal", row !== undefined);
  const answer = execFileSync(wardpost, ["escrow", "code", "browser@practice.example", "pat@verified.example", "--config", config], { encoding: "utf8" });
  const codeFile = answer.match(/written to (\S+)/)[1];
  const code = readFileSync(codeFile, "utf8").replace(/\D/g, "");
  unlinkSync(codeFile);
  check("a code of nine digits", code.length === 9);

  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 390, height: 844 }, javaScriptEnabled: true, acceptDownloads: true });
  const page = await context.newPage();
  const outside = [];
  page.on("request", (request) => { if (!request.url().startsWith(portal)) outside.push(request.url()); });
  let dialogs = 0;
  page.on("dialog", (dialog) => { dialogs += 1; dialog.dismiss(); });

  await page.goto(`${portal}/m/${row.parcel}`);
  check("the code page reveals nothing", !(await page.content()).includes("plan") && !(await page.content()).includes("ann@"));
  const label = await page.locator("label[for=code]").count();
  check("the code field has a label", label === 1);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  check("the code page fits a phone", !wide);
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, "code.png") });
  await page.fill("#code", "000 000 000");
  await page.click("button[type=submit], form[action='/open'] button");
  check("a wrong code is told in a sentence", (await page.content()).includes("does not fit"));
  await page.fill("#code", `${code.slice(0, 3)} ${code.slice(3, 6)} ${code.slice(6)}`);
  await page.click("form[action='/open'] button");
  await page.waitForURL(`${portal}/message*`);
  check("the message is shown with subject and sender", (await page.content()).includes("your plan") && (await page.content()).includes("ann@practice.example"));
  const frame = page.frames().find((one) => one.url().includes("/frame"));
  check("the body is in a frame of its own", frame !== undefined);
  check("the body is shown", (await frame.content()).includes("Your plan"));
  check("no script of the message ran", (await page.title()) !== "owned" && dialogs === 0);
  const source = await frame.content();
  check("nothing executable is left in it", !/<script|onerror|javascript:|<form|<iframe/i.test(source), source);
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, "message.png"), fullPage: true });
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("a[href*='/file/']")]);
  check("the attachment downloads under its name", download.suggestedFilename() === "plan.txt");
  await download.saveAs(join(downloads, "plan.txt"));
  check("and is what was sent", readFileSync(join(downloads, "plan.txt"), "utf8").trim() === "one a day");
  check("nothing was asked of another host", outside.length === 0, outside.join(" "));

  const stranger = await browser.newContext({ ignoreHTTPSErrors: true });
  const other = await stranger.newPage();
  const response = await other.goto(page.url());
  check("another browser sees nothing of it", response.status() === 403 && !(await other.content()).includes("plan"));
  await page.click("form[action='/leave'] button");
  await page.goto(`${portal}/message`);
  check("after leaving it is closed", !(await page.content()).includes("Your plan"));

  const plain = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
  const reader = await plain.newPage();
  await reader.goto(portal);
  await reader.fill("#number", row.number);
  await reader.fill("#code", code);
  await reader.click("form[action='/open'] button");
  check("it works by number and without JavaScript", (await reader.content()).includes("your plan"));
  console.log(`# ${checks} checks`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
  demo.kill("SIGTERM");
  rmSync(downloads, { recursive: true, force: true });
}
