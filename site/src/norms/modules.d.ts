declare module "virtual:search" {
  /** Of `SEARCH`, as MiniSearch writes it. */
  const index: string;
  export default index;
}
