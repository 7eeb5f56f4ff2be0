// Settings as the lines of config.toml.

/** Return the lines for settings by name, such as {"budget.per_day_usd": 5}; null is a line to delete. */
export function toToml(values) {
  const sections = new Map([["", []]]); // settings without a section come before the first section
  for (const [name, value] of Object.entries(values)) {
    const at = name.lastIndexOf(".");
    const section = at < 0 ? "" : name.slice(0, at);
    const key = name.slice(at + 1);
    if (!sections.has(section)) sections.set(section, []);
    sections.get(section).push(value === null ? `# ${key}` : `${key} = ${toValue(value)}`);
  }
  const blocks = [...sections].filter(([, lines]) => lines.length);
  return blocks.map(([section, lines]) => [...(section ? [`[${section}]`] : []), ...lines].join("\n")).join("\n\n");
}

/** Write a text or a number. JSON's are TOML's, except for one character that TOML wants to be escaped. */
function toValue(value) {
  return JSON.stringify(value).replaceAll("\x7f", "\\u007f");
}
