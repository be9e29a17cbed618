import { DoctorQuery, DoctorReport } from "../../../shared/rest/doctor.ts";
import { declare } from "../describe/declaration.ts";

export const DOCTOR = declare({
  name: "runDoctor",
  summary: "Whether what is kept agrees with the truth",
  detail:
    "Looks at the installation and at `project_id`, or at the projects by id, page by page; the installation is on the first " +
    "page. It only reads, and takes its time: 10 seconds at most, or 20 for one project. What to do about a finding stands in docs/DOCTOR.md, " +
    "under the check's name.",
  query: DoctorQuery,
  answers: {
    200: { what: "What was found; `ok: false` when something is wrong", body: DoctorReport },
  },
  errors: ["OVERLOADED"],
  examples: [
    {
      query: { project_id: "web" },
      status: 200,
      answer: {
        ok: true,
        checks: [
          {
            name: "replica_set",
            ok: true,
            detail: "a replica set of 1 member with data: nothing takes over when it fails",
            what_to_do: "add two members: docs/DOCTOR.md, replica_set",
          },
          {
            name: "log",
            project_id: "web",
            ok: true,
            detail: "412 entries without a hole, all that there are",
          },
        ],
        projects: 1,
      },
    },
  ],
});
