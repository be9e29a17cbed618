import { Option } from "commander";
import { parseDuration } from "./parse.ts";

/** Options that several commands share mean the same in each. */
export function urlOption(): Option {
  return new Option(
    "--url <url>",
    "the hub, or several with commas (default: $STATE_HUB_URL, else the default of `state-hub login`)",
  );
}

export function waitOption(description: string, defaultText: string): Option {
  return new Option("-w, --wait <time>", description)
    .argParser(parseDuration)
    .default(parseDuration(defaultText), defaultText);
}
