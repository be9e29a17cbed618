import type { Command, DecideContext, Decision } from "./commands.ts";
import { decideCreate } from "./decide-create.ts";
import { decideExpire } from "./decide-expire.ts";
import { decideOpen } from "./decide-open.ts";
import { decideEdit, decidePublish } from "./decide-publish.ts";
import { decideCreateTask, decideEditTask } from "./decide-task.ts";
import { decideVerdict } from "./decide-verdict.ts";
import type { FamilyView } from "./records.ts";

/** A command against the state of its family at the head: the changes it makes, or why not. Pure, but that a verdict asks whether it holds. */
export function decide(command: Command, family: FamilyView, context: DecideContext): Decision {
  switch (command.type) {
    case "open":
      return decideOpen(command, family, context);
    case "publish":
      return decidePublish(command, family, context);
    case "create":
      return decideCreate(command, family, context);
    case "edit":
      return decideEdit(command, family, context);
    case "create_task":
      return decideCreateTask(command, family, context);
    case "edit_task":
      return decideEditTask(command, family, context);
    case "expire":
      return decideExpire(command, family, context);
    case "verdict":
      return decideVerdict(command, family, context);
  }
}
