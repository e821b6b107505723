// The client's types, for a page without a build.
export * from "../../client/porteiro.js";
export * from "../../client/answers.js";
