// What REST is measured against: express and one lean mongoose read, nothing else.
import express from "express";
import mongoose from "mongoose";

const { MONGODB_URI = "", PORT = "0" } = process.env;
await mongoose.connect(MONGODB_URI, { maxPoolSize: 50 });
const sessions = mongoose.model(
  "Session",
  new mongoose.Schema({ _id: String }, { strict: false, collection: "sessions" }),
);

const app = express();
app.get("/health/ready", (_request, response) => void response.json({ status: "ok" }));
app.get("/sessions", async (_request, response) => {
  response.json({ sessions: await sessions.find().sort({ created_at: -1, _id: -1 }).limit(50).lean() });
});
app.get("/sessions/:session_id", async (request, response) => {
  const { project_id } = request.query as { readonly project_id?: string };
  response.json(await sessions.findOne({ _id: `${project_id}/${request.params.session_id}` }).lean());
});
app.listen(Number(PORT), "127.0.0.1");
